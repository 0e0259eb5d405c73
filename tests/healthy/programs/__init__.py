"""Programs that look like a trouble and have none: each public function of a file is one."""
