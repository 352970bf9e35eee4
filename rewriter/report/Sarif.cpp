// SPDX-License-Identifier: BSD-3-Clause
//
// SARIF 2.1.0 (OASIS), the format of code scanners: one run of one tool, a rule for each diagnostic id, a result for
// each finding. A binary has no lines, so a place is an address (physicalLocation.address) and a function
// (logicalLocations).
#include "rewriter/report/Report.h"
#include "rewriter/report/Summary.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"

using namespace llvm;

namespace osv::report {

namespace {

json::Value text(StringRef s) { return json::isUTF8(s) ? json::Value(s) : json::Value(json::fixUTF8(s)); }

/// A relative reference in the sense of RFC 3986: everything but unreserved characters and '/' is escaped.
std::string asUri(StringRef path) {
  std::string uri;
  for (unsigned char c : path) {
    if (isAlnum(c) || c == '/' || c == '-' || c == '_' || c == '.' || c == '~')
      uri += char(c);
    else
      uri += "%" + toHex(ArrayRef<uint8_t>(c));
  }
  return path.starts_with("/") ? "file://" + uri : uri;
}

const char *levelOf(Severity severity) {
  return severity >= Severity::Error ? "error" : severity == Severity::Warning ? "warning" : "note";
}

void writeMessage(json::OStream &json, StringRef key, StringRef message) {
  json.attributeObject(key, [&] { json.attribute("text", text(message)); });
}

void writeResult(json::OStream &json, const Context &context, const Finding &finding) {
  json.object([&] {
    json.attribute("ruleId", diagInfo(finding.id).id);
    json.attribute("ruleIndex", int64_t(finding.id));
    json.attribute("level", levelOf(context.diag.severityOf(finding.id)));
    std::string message = finding.message;
    for (const DiagNote &note : finding.notes) {
      message += "\n" + note.text;
      for (const std::string &line : note.lines)
        message += "\n" + line;
    }
    writeMessage(json, "message", message);
    json.attributeArray("locations", [&] {
      json.object([&] {
        json.attributeObject("physicalLocation", [&] {
          json.attributeObject("artifactLocation", [&] {
            json.attribute("uri", asUri(context.diag.inputName()));
            json.attribute("index", 0);
          });
          if (finding.address)
            json.attributeObject("address", [&] {
              json.attribute("absoluteAddress", int64_t(finding.address->raw()));
              json.attribute("kind", "instruction");
            });
        });
        if (!finding.function.empty())
          json.attributeArray("logicalLocations", [&] {
            json.object([&] {
              json.attribute("name", text(finding.function));
              json.attribute("kind", "function");
            });
          });
      });
    });
  });
}

} // namespace

void writeSarif(const Context &context, raw_ostream &os) {
  json::OStream json(os, 2);
  json.object([&] {
    json.attribute("$schema",
                   "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json");
    json.attribute("version", "2.1.0");
    json.attributeArray("runs", [&] {
      json.object([&] {
        json.attributeObject("tool", [&] {
          json.attributeObject("driver", [&] {
            json.attribute("name", "osv-rewrite");
            json.attributeArray("rules", [&] {
              for (unsigned i = 0; i < kNumDiags; i++) {
                const DiagInfo &info = diagInfo(DiagId(i));
                json.object([&] {
                  json.attribute("id", info.id);
                  writeMessage(json, "fullDescription", info.explanation);
                  json.attributeObject("defaultConfiguration", [&] {
                    json.attribute("enabled", info.severity != Severity::Off);
                    json.attribute("level", info.severity == Severity::Off ? "warning" : levelOf(info.severity));
                  });
                });
              }
            });
          });
        });
        json.attributeArray("artifacts", [&] {
          json.object([&] {
            json.attributeObject("location", [&] { json.attribute("uri", asUri(context.diag.inputName())); });
            json.attributeArray("roles", [&] { json.value("analysisTarget"); });
            if (context.image.buffer)
              json.attribute("length", int64_t(context.image.buffer->getBufferSize()));
          });
        });
        json.attribute("columnKind", "utf16CodeUnits");
        json.attributeArray("results", [&] {
          for (const Finding *finding : context.diag.sorted())
            writeResult(json, context, *finding);
        });
      });
    });
  });
  os << '\n';
}

} // namespace osv::report
