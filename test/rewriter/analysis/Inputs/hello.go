// SPDX-License-Identifier: BSD-3-Clause
package main

import "fmt"

func main() { fmt.Println("hello") }
