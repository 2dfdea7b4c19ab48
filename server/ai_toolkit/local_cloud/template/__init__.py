"""Templates: their language, what one deploys, and deployments of them.

It may import `resource_manager` and what lies below.
"""
