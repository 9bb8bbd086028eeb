"""Building, loading, converting and exporting models."""
