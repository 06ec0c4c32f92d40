"""The messenger: what an alarm means, said to people in e-mail, Slack and PagerDuty.

Standard library, and boto3 in its adapter only.
"""
