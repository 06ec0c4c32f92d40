"""Packages that AWS puts into its Python runtime beside boto3; workers get this folder on their path."""
