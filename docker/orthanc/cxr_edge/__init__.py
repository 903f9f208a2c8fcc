"""The edge between a PACS and the scoring service, run by Orthanc. Uses only the standard library and ``orthanc``."""
