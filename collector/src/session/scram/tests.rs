//! Vectors for the SCRAM client.
