"""The edge between a PACS and the scoring service, which Orthanc runs. Standard library and Orthanc's module only."""
