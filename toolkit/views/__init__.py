"""A FiftyOne data set from an annotation file, and a person's edits home again."""
