"""Azure Container Apps: apps, environments, jobs and log workspaces as resources, and what runs for an app.

It may import `files`, `resource_manager` and what lies below.
"""
