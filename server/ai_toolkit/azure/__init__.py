"""Azure, or what stands in for it: connection, sign-in, thin adapters over the async SDKs, their errors in words.

May import `workspace` and what lies below. Entered by `connect.open_cloud`; an adapter loads its SDK when first used.
"""
