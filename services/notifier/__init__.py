"""Decides who is told what, numbers it per channel, and keeps it for those who were not there."""
