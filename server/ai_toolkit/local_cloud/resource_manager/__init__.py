"""Azure Resource Manager: routes, resource groups, providers, operations, and what every type of resource can do.

It may import `identity`, `faults` and `core`; types of resources are handed to it.
"""
