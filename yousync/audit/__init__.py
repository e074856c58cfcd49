"""Reconciles what the services' outboxes have sent with what inboxes, broker and dead letters know of it."""

from yousync.audit.audit import audit
from yousync.audit.report import Count, Finding, Kind, Report

__all__ = ["Count", "Finding", "Kind", "Report", "audit"]
