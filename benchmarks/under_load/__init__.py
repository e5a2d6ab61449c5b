"""What a stack does under more load than it can embed, while a server is away, and on full disks."""
