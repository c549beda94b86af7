"""The only code that knows JSON keys, base64, PNG and OPEX."""
