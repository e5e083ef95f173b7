"""A page where people say whether a caption fits a picture; what they say goes into one file, at once."""
