"""What was done to a checkpoint's weights, seen beside its reference's: decoded rows in, evidence out.

Everything is streamed by blocks of rows; nothing here runs a model.
"""
