"""Ways to reach S3 and SQS."""
