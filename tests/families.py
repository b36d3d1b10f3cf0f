"""The metric families of Django-Hurricane 1.6.2, with their types."""

# Before the first request.
AT_START = {
    "request_counter_total": "counter",
    "request_counter_created": "gauge",
    "response_time_average": "gauge",
    "request_queue_length": "gauge",
    "response_time_seconds": "histogram",
    "response_time_seconds_created": "gauge",
    "response_size_bytes": "histogram",
    "response_size_bytes_created": "gauge",
    "path_requests_total": "counter",
    "hurricane_info": "gauge",
    "python_info": "gauge",
    "python_gc_objects_collected_total": "counter",
    "python_gc_objects_uncollectable_total": "counter",
    "python_gc_collections_total": "counter",
    "process_virtual_memory_bytes": "gauge",
    "process_resident_memory_bytes": "gauge",
    "process_start_time_seconds": "gauge",
    "process_cpu_seconds_total": "counter",
    "process_open_fds": "gauge",
    "process_max_fds": "gauge",
}
# Once a path was counted.
FAMILIES = {**AT_START, "path_requests_created": "gauge"}
