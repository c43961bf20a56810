"""A report value -> JSON, HTML, SARIF, JUnit and a terminal summary; nothing here decides anything."""
