"""Deployments: what is created, changed and destroyed together, and who may do what.

Stacks know each other by name and by order, never by CloudFormation exports: an export may not
change while another stack uses it, which would block the very deploy that mends something.
"""
