"""Object storage behind one port (`base.Storage`): S3 (`s3`) and the local disk (`disk`), opened by `factory.open_storage`.

`disk_http` serves the signed links of the disk; those of S3 lead to S3 itself.
"""
