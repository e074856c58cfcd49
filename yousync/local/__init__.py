"""Private servers for a laptop or a test run: PostgreSQL, RabbitMQ and an S3 API, each in a folder of its own.

Every server listens on this machine only, on ports or sockets of its own, with generated secrets, and never touches a
server that the machine runs as a service. `start()` adopts one that an ended process left behind, so any process can
start, find and stop a folder's server. Linux only: a process is recognised through /proc.
"""
