"""What touches rclpy: adapters between ROS and the rest of the package."""
