"""The functions of templates that need nothing but their arguments, grouped as Azure's documentation groups them.

They import `core` alone: a function knows no template.
"""
