#include "cli/args.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <sstream>

#include "base/config.h"
#include "base/line_writer.h"
#include "base/units.h"
#include "cli/output.h"
#include "cli/revision.h"

namespace baiwan::cli {
namespace {

std::string DidYouMean(const std::string& word, const std::vector<std::string>& known) {
  const std::string nearest = NearestName(word, known);
  return nearest.empty() || nearest == word ? "" : "; did you mean " + nearest + "?";
}

// Unknown arguments are worth a guess: most are mistyped.
std::string Guess(const CLI::App& app, const std::string& error) {
  const auto dashes = error.rfind("--");
  if (dashes == std::string::npos) return "";
  const CLI::App* at = &app;  // the innermost command that was understood
  while (!at->get_subcommands().empty()) at = at->get_subcommands().back();
  std::vector<std::string> known;
  for (const CLI::Option* option : at->get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  }
  const std::string word = error.substr(dashes);
  return DidYouMean(word.substr(0, word.find_first_of("= ")), known);
}

using Runners = std::vector<std::pair<CLI::App*, std::function<int()>>>;

void Declare(CLI::App& app, const std::vector<Command>& commands, Runners* runners) {
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  for (const Command& command : commands) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    sub->get_formatter()->column_width(34);
    sub->footer("\nExamples:\n" + command.examples);
    if (!command.commands.empty()) {
      Declare(*sub, command.commands, runners);
      continue;
    }
    Args args(*sub);
    runners->emplace_back(sub, command.declare(args));
  }
}

// What is wrong with the names of commands that the arguments begin with; empty: nothing.
std::string WrongCommand(const std::vector<Command>& commands, int argc, char** argv) {
  if (argc < 1) return "which command?";
  const std::string name = argv[0];
  if (!name.empty() && name[0] == '-') return "";
  std::vector<std::string> known;
  for (const Command& command : commands) {
    known.push_back(command.name);
    if (command.name != name) continue;
    return command.commands.empty() ? "" : WrongCommand(command.commands, argc - 1, argv + 1);
  }
  return "there is no command '" + name + "'" + DidYouMean(name, known);
}

}  // namespace

void Args::Flag(const std::string& name, bool* value, const std::string& what) {
  app_.add_flag(name, *value, what);
}
void Args::Text(const std::string& name, std::string* value, const std::string& what) {
  app_.add_option(name, *value, what)->capture_default_str();
}
void Args::Texts(const std::string& name, std::vector<std::string>* values,
                 const std::string& what) {
  app_.add_option(name, *values, what)->allow_extra_args(false);
}
void Args::Choice(const std::string& name, std::string* value,
                  const std::vector<std::string>& choices, const std::string& what) {
  app_.add_option(name, *value, fmt::format("{}: {}", what, fmt::join(choices, ", ")))
      ->check(CLI::Validator(
          [choices](std::string& given) {
            for (const std::string& choice : choices) {
              if (choice == given) return std::string();
            }
            return fmt::format("'{}' is not one of {}", given, fmt::join(choices, ", "));
          },
          ""))
      ->capture_default_str();
}
void Args::Number(const std::string& name, std::uint64_t* value, const std::string& what,
                  std::uint64_t min, std::uint64_t max) {
  app_.add_option(name, *value, what)->check(CLI::Range(min, max))->capture_default_str();
}
void Args::Number(const std::string& name, std::uint32_t* value, const std::string& what,
                  std::uint32_t min, std::uint32_t max) {
  app_.add_option(name, *value, what)->check(CLI::Range(min, max))->capture_default_str();
}
void Args::Real(const std::string& name, double* value, const std::string& what, double min,
                double max) {
  app_.add_option(name, *value, what)->check(CLI::Range(min, max))->capture_default_str();
}
void Args::Duration(const std::string& name, Nanos* value, const std::string& what) {
  app_.add_option_function<std::string>(
          name,
          [name, value](const std::string& text) {
            const auto parsed = ParseDuration(text);
            if (!parsed) throw CLI::ValidationError(name, parsed.error());
            *value = *parsed;
          },
          what)
      ->default_str(FormatDuration(*value));
}
void Args::Required(const std::string& name) { app_.get_option(name)->required(); }
void Args::Instead(const std::string& name, const std::vector<std::string>& others) {
  for (const std::string& other : others) app_.get_option(name)->excludes(app_.get_option(other));
}
void Args::Positional(const std::string& name, std::string* value, const std::string& what) {
  app_.add_option(name, *value, what)->capture_default_str();
}

int RunCommands(const std::string& program, const std::string& about,
                const std::vector<Command>& commands, int argc, char** argv) {
  CLI::App app(about, program);
  app.set_version_flag(
      "--version",
      fmt::format("{} {}, revision {}, build {}", program, Version(), Revision(), BuildType()),
      "name, version, revision and build of this program");
  Runners runners;
  Declare(app, commands, &runners);
  if (const auto wrong = WrongCommand(commands, argc - 1, argv + 1); !wrong.empty()) {
    std::fprintf(stderr, "%s: %s (try --help)\n", program.c_str(), wrong.c_str());
    return kUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    std::ostringstream text;
    const int code = app.exit(asked, text, text);
    Print(text.str());
    return Finish(code);
  } catch (const CLI::ExcludesError& error) {
    std::fprintf(stderr, "%s: %s: both would say the same, so give one of them (try --help)\n",
                 program.c_str(), error.what());
    return kUsage;
  } catch (const CLI::ParseError& error) {
    const std::string what = error.what();
    std::fprintf(stderr, "%s: %s%s (try --help)\n", program.c_str(), what.c_str(),
                 Guess(app, what).c_str());
    return kUsage;
  }
  for (const auto& [sub, run] : runners) {
    if (sub->parsed()) return Finish(run());
  }
  return kUsage;
}

int Fail(const std::string& sentence) {
  FlushProcessStderr();  // what the log says of it comes first
  std::fprintf(stderr, "baiwan: %s\n", sentence.c_str());
  return kUsage;
}

}  // namespace baiwan::cli
