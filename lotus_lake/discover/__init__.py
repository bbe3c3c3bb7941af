"""What landed, compared with what the dbt sources declare; and a new stream out of landed files."""
