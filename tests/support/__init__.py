"""What tests of several rooms share: workspaces with a local cloud, other clients, an app of a few lines."""
