"""The site: guides, status, data catalog and column lineage, as files that need no server."""
