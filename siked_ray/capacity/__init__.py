"""Does it fit on the cluster, and waiting until it does."""
