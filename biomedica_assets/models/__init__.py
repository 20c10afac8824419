"""Encoders of pictures and texts, and what they give for each chunk; models trained here come later."""
