"""The site: guides, status, data catalog and column lineage, as pages that need nothing else."""
