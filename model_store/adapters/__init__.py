"""The places that can keep bytes: memory, a local folder, S3. Each obeys the laws of ``model_store.ports``.

This package stays empty on purpose: only who wants S3 pays for importing boto3.
"""
