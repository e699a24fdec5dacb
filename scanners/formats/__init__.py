"""What the bytes of a checkpoint mean: headers to tensors, elements to float32. Nothing is unpickled."""
