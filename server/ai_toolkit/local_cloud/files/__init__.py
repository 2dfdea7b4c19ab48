"""Azure Files, and the storage accounts that it belongs to.

It may import `resource_manager` and what lies below.
"""
