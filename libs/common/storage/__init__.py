"""Object storage behind one port: S3 (`s3`) and the local disk (`disk`)."""
