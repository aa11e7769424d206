"""The makers of phantoms: scenes whose answer is known, because they are made from the answer."""
