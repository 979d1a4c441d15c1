"""Talks to a server as the official MCP client library does.

Reads a plan as JSON: {"url": ...} or {"command": ..., "args": [...]}, and
"calls": [{"name": ..., "arguments": {...}}]. Prints what came of it as JSON.
"""

import asyncio
import json
import sys

from mcp import Client, StdioServerParameters


async def main() -> None:
    plan = json.load(sys.stdin)
    if "url" in plan:
        server = plan["url"]
    else:
        server = StdioServerParameters(command=plan["command"], args=plan["args"])
    async with Client(server, read_timeout_seconds=60) as client:
        listed = await client.list_tools()
        tools = [
            {
                "name": tool.name,
                "description": tool.description,
                "schema": tool.input_schema,
                "read_only": bool(tool.annotations and tool.annotations.read_only_hint),
            }
            for tool in listed.tools
        ]
        results = []
        for call in plan["calls"]:
            result = await client.call_tool(call["name"], call["arguments"])
            text = "\n".join(block.text for block in result.content if block.type == "text")
            results.append({"error": bool(result.is_error), "text": text})
        print(
            json.dumps(
                {
                    "server": client.server_info.name,
                    "protocol": client.protocol_version,
                    "instructions": client.instructions,
                    "tools": tools,
                    "results": results,
                }
            )
        )


asyncio.run(main())
