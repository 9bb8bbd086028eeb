"""Publishing models, data sets and galleries on the Hub."""
