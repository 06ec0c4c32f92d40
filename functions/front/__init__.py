"""The front of the API: what concerns the server and no single model, and every path that leads nowhere.

Standard library, and boto3 only when models are asked whether they are ready.
"""
