"""Dashboards: what is shown of a stage and of each model, in CloudWatch's own words, and drawn from them.

A page is a dashboard body, the document that CloudWatch takes. ``infra`` deploys it; ``yard dash`` asks for
the deployed one and draws that. So what a laptop shows cannot differ from what AWS shows.
"""
