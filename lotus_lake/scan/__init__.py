"""What reads landed files for the first time, in a process of its own.

Whatever landed is untrusted: it may crash a parser, or take more memory or time than there is. So
``lotus_lake.probe`` has files scanned by ``python -m lotus_lake.scan``, whose memory and processor
time are limited; a file that ends that process is in quarantine, and the feed goes on. Read the
code from ``worker`` on.
"""
