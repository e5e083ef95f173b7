"""Encoders: waveform or pixels -> embedding, with all preprocessing after decoding inside them."""
