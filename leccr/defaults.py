"""What holds where nothing is given, for Python and for the command line, which imports nothing heavy."""

EVALUATION_BATCH = 64
FEATURES_BATCH = 8
EMBEDDING_BATCH = 256
DECODING_WORKERS = 4
