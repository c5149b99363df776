"""The media of the style pictures, and what the pictures show."""
