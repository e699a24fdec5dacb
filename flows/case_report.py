"""Review cases as JSON documents and as text for a terminal."""
