"""Looks at a deployment's settings: what is missing, wrong or weak, in words that say what to do. Opens no connection."""

from yousync.doctor.deployment import Deployment, DeploymentUnreadable, of_compose, of_environment
from yousync.doctor.examine import Finding, Severity, examine

__all__ = ["Deployment", "DeploymentUnreadable", "Finding", "Severity", "examine", "of_compose", "of_environment"]
