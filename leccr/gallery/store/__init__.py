"""What a gallery is on disk: its catalogue, its vectors, and the engines that search them."""
