"""What a sweep leaves: cells on disk, tables, exports."""
