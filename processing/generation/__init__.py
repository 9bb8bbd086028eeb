"""Text made by other models: descriptions of pictures and translations of captions."""
