"""Images in tar shards: how they are made, found again, and decoded as they are wanted."""
