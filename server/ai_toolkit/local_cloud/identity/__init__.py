"""Who asks: sign-in as Microsoft Entra does it, tokens, and the tenants and subscriptions of an account.

It may import `core`.
"""
